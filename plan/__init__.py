"""The program run without a cloud: its project, its recording, its figures, and what is exported of them."""
