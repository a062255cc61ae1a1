return delivery_row(arg())
