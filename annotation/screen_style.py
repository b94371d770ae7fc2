"""How the labelling screen looks: CSS for Label Studio 1.23.

Label Studio hands it on as the text of an XML element: no ``<``, ``>`` or ``&`` can stand in it.
"""

from __future__ import annotations

STYLE = """
.lsf-sidepanels__wrapper_align_right { display: none }
.lsf-sidepanels { padding-right: 0 !important }
.mc-classes .lsf-hint { display: none }
.mc-classes .lsf-choices { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 0 }
.mc-classes .lsf-choice { margin: 0 }
.mc-classes .lsf-choice:has(input:checked) { order: -1; flex: 0 0 100%; font-weight: 600 }
.mc-classes .mc-definition { display: none; font-weight: 400 }
.mc-classes .lsf-choice:has(input:checked) .mc-definition { display: inline }
"""
