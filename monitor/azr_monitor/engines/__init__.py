"""Standard rule engines beside our own rules: YARA on texts, ast-grep on programs; in a process of their own."""
