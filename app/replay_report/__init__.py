"""Replay for people: where the work comes from and how the result is told.

from_log    an event log as a stream to be played
comparison  what really happened beside what would have, as values and as JSON
words       every text, ru and en
terminal    the result in a terminal
page        the result as one HTML file that needs nothing else
charts      its charts: inline SVG
"""
