"""What a phone's delegates will take of a ``.tflite``, predicted from the file.

A further delegate is a module with ``why_not(operator)`` and a row in ``plan.DELEGATES``.
"""

from edgekit.tflite.delegates.plan import (
    DELEGATES,
    DelegatePlan,
    OperatorPlace,
    predict_delegate,
    predict_delegates,
)

__all__ = [
    "DELEGATES",
    "DelegatePlan",
    "OperatorPlace",
    "predict_delegate",
    "predict_delegates",
]
