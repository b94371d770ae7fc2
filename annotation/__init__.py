"""Label Studio tasks out, annotations in, agreement and adjudication."""
