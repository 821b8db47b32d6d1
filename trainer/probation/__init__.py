"""Probation: who newly answers calls, canary or champion, against the one before, which scores on."""
