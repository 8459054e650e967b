"""The measurements, in the order of the table. Each function measures one round."""
