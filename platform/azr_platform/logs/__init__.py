"""Logs of other trainers: one reader a format, each a stream of cases to judge, in bounded memory and without trust."""
