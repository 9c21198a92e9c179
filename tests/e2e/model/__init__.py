"""The model test: random commands made from the rows of the server under test, asked of it and of
redis-server side by side.

rows.py         what COMMAND and COMMAND DOCS say of each row
generate.py     words for a row: right ones, and wrong in each way its grammar knows
wire.py         many commands out at once, the bytes of each reply back
differences.py  where replies may differ, and why: the only place that says so
compare.py      one reply against the other, under those rules
coverage.py     how often each row answered well, and with which errors
errors.py       every error that a row has, and the way to those that are seldom met
shrink.py       a failure's history, made short
"""
