"""What label smoothing did to a teacher, before any student is trained."""
