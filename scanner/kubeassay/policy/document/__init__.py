"""An architecture document as policy: what its blocks demand, as controls of a baseline.

``words`` compares keys however they are spelled, ``objects`` and ``forms`` turn what they recognise into clauses,
``importing`` joins these into a baseline and says what it did not understand.
"""
