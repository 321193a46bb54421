"""`python -I -m turnlog.consumers.sandbox.inside` is a worker, for a runner's own image."""

from .main import main

main()
