"""azr-platform audit: judge, and ask of what was judged; one file a sub-command"""
