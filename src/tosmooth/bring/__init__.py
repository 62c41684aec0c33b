"""Bring your own teacher and images: from names and a folder to an audited, distilled, exported student."""
