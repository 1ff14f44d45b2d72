"""The subcommands of `tflite-cupy`, a module each: `add` declares it, `main(arguments)` gives the exit code."""
