"""Other people's measurements, read into facts of ours."""
