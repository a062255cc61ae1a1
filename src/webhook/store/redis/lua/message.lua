return message_row(arg())
