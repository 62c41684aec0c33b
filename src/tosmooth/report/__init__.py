"""The report of a study: one self-contained HTML file, static figures and tables, made from the files of a study."""
