"""The expression language of rules: CEL over ``event`` and ``attributes``, compiled to Python.

`compile_condition` is for what has to be true or false, `compile_expression` for any value.
"""

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import EvaluationError, ExpressionError
from fleet.cel.expression import Expression, compile_expression

__all__ = [
    "Condition",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "compile_condition",
    "compile_expression",
]
