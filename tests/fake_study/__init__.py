"""Studies of explicit numbers: their tables (`tables`), their folder (`folder`), one of sentences (`translations`)."""
