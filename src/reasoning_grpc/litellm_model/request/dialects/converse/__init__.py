"""What Bedrock's Converse API takes.

models.py    the facts about a model that decide
refusals.py  refuses fields
changes.py   changes a call
reports.py   reports what the API does not get
"""
