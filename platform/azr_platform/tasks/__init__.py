"""What self-play is about: task kinds, prompts, the response format, and what makes an answer right.

Pure: no input or output, no processes, no torch. Nothing here evaluates text that a model wrote.
"""
