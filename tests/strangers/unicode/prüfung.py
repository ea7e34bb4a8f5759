def rückwärts(task, text):
    """Whether the text is the word read from right to left."""
    return text.strip() == task.check["wort"][::-1]
