"""`slices watch`: the twin's cluster as a live picture, in the terminal, in the browser, or as SVG."""
