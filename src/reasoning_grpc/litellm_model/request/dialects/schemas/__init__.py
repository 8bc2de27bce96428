"""The parts of JSON Schema that providers take.

output.py        the schemas of answers
tool_roots.py    the top level of the schemas of tools
reader.py, rules.py, limits.py, alternatives.py   read a schema as rules that a dialect can say, or name what it cannot
"""
