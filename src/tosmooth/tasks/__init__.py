"""What a study is about: images, or sentences. One file a task, and what all of them have in common."""
