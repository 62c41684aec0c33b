"""What a study leaves on disk: where each file lies, who may write into the folder, and how its files are read."""
