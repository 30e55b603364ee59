"""``python -m azr_platform`` is ``azr-platform``."""

from azr_platform.cli.main import main

main()
