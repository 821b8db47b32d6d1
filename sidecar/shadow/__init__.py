"""Candidates score live traffic in processes of their own.

supervisor   which candidates there are; offers them rows, collects what they made of them
candidate    one candidate: its queue, its thread, its restarts and its quarantine
process      one worker process, as its candidate's thread sees it
progress     whether such a process gets on, or is only kept waiting
worker       the program that runs in that process
scorer       what it does with a chunk of rows: as the engine that serves the champion does
results      the memory in which a worker leaves its scores, readable after it died
"""
