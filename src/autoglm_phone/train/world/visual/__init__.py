"""Rendered pictures: phone screens, charts, scenes and text lines, with their questions and answers."""
