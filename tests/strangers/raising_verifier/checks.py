def above(task, text):
    """No answer is right that is not above the floor."""
    return int(text) > task.check["floor"]
