"""The operations, one entry each, one file a family. Importing this package fills the catalogue."""

from chainrule.expression.op import CATALOGUE
from chainrule.ops.elementwise import ELEMENTWISE
from chainrule.ops.exponential import EXPONENTIAL
from chainrule.ops.extreme import EXTREMES
from chainrule.ops.linear import LINEAR
from chainrule.ops.logarithm import LOGARITHM
from chainrule.ops.piecewise import PIECEWISE, kink_value
from chainrule.ops.polar import POLAR
from chainrule.ops.reduction import REDUCTIONS

__all__ = ["CATALOGUE", "kink_value"]

for family in (ELEMENTWISE, LOGARITHM, PIECEWISE, REDUCTIONS, EXTREMES, LINEAR, EXPONENTIAL, POLAR):
    CATALOGUE.add(family)
