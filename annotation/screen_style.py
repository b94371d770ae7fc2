"""How the labelling screen looks: CSS for Label Studio 1.23.

Label Studio hands it on as the text of an XML element, so that no ``<``, ``>`` or ``&`` can stand
in it. Of its side panels only the editor of a trim is shown, under the clip.
"""

from __future__ import annotations

STYLE = """
.mc-screen { display: flex; gap: 24px; align-items: flex-start }
.mc-clip { flex: 0 0 700px; max-width: 700px }
.mc-questions { flex: 1 1 0; min-width: 0 }
.mc-answer .lsf-choices { margin: 4px 0 }
.mc-classes { height: 206px; overflow: auto; margin: 4px 0 10px; padding: 2px 8px;
  border: 1px solid var(--color-neutral-border, #ccc); border-radius: 4px }
.mc-classes .lsf-hint { display: none }
.mc-classes .lsf-choices { display: flex; flex-wrap: wrap; gap: 0 14px; margin: 0 }
.mc-classes .lsf-choice { margin: 0 }
.mc-classes .ant-radio-wrapper { font-weight: 400; margin-right: 0 }
.mc-classes .lsf-choice:has(.ant-radio-checked) { order: -1; flex: 0 0 100% }
.mc-classes .ant-radio-wrapper-checked { font-weight: 600 }
.mc-classes .mc-definition { display: none; font-weight: 400 }
.mc-classes .ant-radio-wrapper-checked .mc-definition { display: inline }
.mc-flag { display: flex; gap: 16px; align-items: center; padding: 6px 0;
  border-top: 1px solid var(--color-neutral-border, #ccc) }
.mc-flag-text { flex: 1 1 0 }
.mc-flag .mc-answer { flex: 0 0 230px; white-space: nowrap }
.lsf-sidepanels { padding-right: 0 !important }
.lsf-sidepanels__wrapper_align_right { visibility: hidden; pointer-events: none }
.lsf-region-editor { visibility: visible; pointer-events: auto; position: fixed; left: 14px;
  bottom: 66px; width: 330px; padding: 8px; border-radius: 4px;
  background: var(--color-neutral-background, #fff);
  border: 1px solid var(--color-neutral-border, #ccc) }
"""
