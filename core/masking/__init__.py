"""Personal data in texts and documents, found and replaced when it is shown; the log keeps it.

`finding.py` says where it is, `masker.py` what stands in its place. Masking takes time in
proportion to the text, whatever the text is.
"""
