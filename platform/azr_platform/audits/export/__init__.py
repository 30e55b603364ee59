"""Judged samples for other tools, redacted on request; one file a form"""
