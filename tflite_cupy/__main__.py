"""`python -m tflite_cupy`: the same as the command `tflite-cupy`."""

from .cli import main

raise SystemExit(main())
