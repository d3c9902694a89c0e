"""Small drawings of 16 by 16, drawn for this console; strokes take the colour of the text."""

ICONS = {
    "check": '<circle cx="8" cy="8" r="6.25" class="fill"/><path d="m5.2 8.2 2 2 3.6-4.2" class="cut"/>',
    "cross": (
        '<path d="M8 1.6 14.4 8 8 14.4 1.6 8Z" class="fill"/><path d="m6.2 6.2 3.6 3.6m0-3.6-3.6 3.6" class="cut"/>'
    ),
    "half": '<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5a5.5 5.5 0 0 1 0 11Z" class="fill"/>',
    "partly": '<path d="M8 2 14.2 13.2H1.8Z"/><path d="M8 6.2v3.4m0 1.6v.4"/>',
    "slash": '<circle cx="8" cy="8" r="5.5"/><path d="m4.2 11.8 7.6-7.6"/>',
    "ring": '<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.6 1.72"/>',
    "dot": '<circle cx="8" cy="8" r="3.5" class="fill"/>',
    "pause": '<path d="M5.5 3.5v9m5-9v9" stroke-width="2.2"/>',
    "play": '<path d="M5 3.2v9.6L12.6 8Z" class="fill"/>',
    "trash": '<path d="M3 4.5h10m-6.5 0V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5M7 7v3.5M9 7v3.5"/>',
    "retry": '<path d="M13 8a5 5 0 1 1-1.6-3.7M13.2 2.2v3h-3"/>',
    "overview": '<path d="M2.5 13.5v-5h3v5m0 0v-11h3v11m0 0v-8h3v8M1.5 13.5h13"/>',
    "batches": '<path d="m8 2 6 3-6 3-6-3Zm-6 6 6 3 6-3M2 11l6 3 6-3"/>',
    "jobs": '<path d="M5.5 4h8m-8 4h8m-8 4h8"/><path d="M2.5 4h.5m-.5 4h.5m-.5 4h.5" stroke-width="2"/>',
    "rows": '<path d="M2.5 3.5h11m-11 3h11m-11 3h11m-11 3h11"/>',
    "columns": '<path d="M2.5 3h11v10h-11Zm3.7 0v10m3.6-10v10"/>',
    "archive": '<path d="M2 3h12v3H2Zm1 3v7h10V6M6.3 8.5h3.4"/>',
    "clock": '<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3.2l2 1.6"/>',
    "up": '<path d="M8 13V3.5m-4 4 4-4 4 4"/>',
    "search": '<circle cx="7" cy="7" r="4.3"/><path d="m10.3 10.3 3.4 3.4"/>',
    "dead-letters": '<path d="M2 4h12v8.5H2Zm0 .5 6 4.5 6-4.5"/>',
    "operations": (
        '<path d="M2 4.5h6m2 0h4M2 11.5h2m2 0h8"/><path d="M7 2.5 9.5 4.5 7 6.5Zm-3 7 2.5 2L4 13.5Z" class="fill"/>'
    ),
    "undo": '<path d="M3 8a5 5 0 1 0 1.6-3.7M2.8 2.2v3h3"/>',
    "queues": '<path d="M2 3.5h12M2 8h9M2 12.5h6"/><path d="m11.5 10.2 2.3 2.3-2.3 2.3" />',
    "workers": (
        '<rect x="4" y="4" width="8" height="8" rx="1.2"/>'
        '<path d="M6.3 1.5V4m3.4-2.5V4M6.3 12v2.5m3.4-2.5v2.5M1.5 6.3H4M1.5 9.7H4M12 6.3h2.5M12 9.7h2.5"/>'
    ),
    "activity": '<path d="M1.5 8h3l2-5 3 10 2-5h3"/>',
    "schedules": '<path d="M2.5 4h11v9.5h-11ZM2.5 7h11M5.5 2v3m5-3v3"/><path d="M8 9v2l1.5.8"/>',
    "edit": '<path d="M10.5 3 13 5.5 6 12.5l-3.2.7.7-3.2Z"/>',
    "stop": '<rect x="4" y="4" width="8" height="8" rx="1" class="fill"/>',
    "silent": '<circle cx="8" cy="8" r="5.5" stroke-dasharray="1 2.2"/><path d="M8 5v3l2 1.5"/>',
    "admin": (
        '<path d="M2 4.5h7m4 0h1m-12 7h1m4 0h7"/><circle cx="11" cy="4.5" r="1.8"/><circle cx="5" cy="11.5" r="1.8"/>'
    ),
    "system": (
        '<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5v11" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11Z" class="fill"/>'
    ),
    "sun": (
        '<circle cx="8" cy="8" r="3"/>'
        '<path d="M8 1v1.5m0 11V15M1 8h1.5m11 0H15M3 3l1.1 1.1m7.8 7.8L13 13m0-10-1.1 1.1'
        'M4.1 11.9 3 13"/>'
    ),
    "moon": '<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z"/>',
    "help": ('<circle cx="8" cy="8" r="6.25"/><path d="M6.2 6.2c0-2.3 3.6-2.3 3.6 0 0 1.5-1.8 1.5-1.8 2.9m0 1.9v.3"/>'),
    "user": '<circle cx="8" cy="5.5" r="2.75"/><path d="M2.8 14c.4-3 2.5-4.5 5.2-4.5s4.8 1.5 5.2 4.5"/>',
    "close": '<path d="m4 4 8 8m0-8-8 8"/>',
    "left": '<path d="M10 3.5 5.5 8l4.5 4.5"/>',
    "right": '<path d="M6 3.5 10.5 8 6 12.5"/>',
    "download": '<path d="M8 2v8m0 0 3-3m-3 3L5 7M2.5 13.5h11"/>',
    "filter": '<path d="M2 3.5h12L9.5 8.7v4.1l-3-1.3V8.7Z"/>',
    "alert": '<path d="M8 2 14.2 13.2H1.8Z"/><path d="M8 6.2v3.4m0 1.6v.4"/>',
    "info": '<circle cx="8" cy="8" r="6.25"/><path d="M8 7.2v4M8 4.6v.4"/>',
    "logo": (
        '<rect x="1.5" y="2.5" width="13" height="3" rx="1" class="fill"/>'
        '<rect x="1.5" y="6.5" width="9" height="3" rx="1" class="fill"/>'
        '<rect x="1.5" y="10.5" width="5" height="3" rx="1" class="fill"/>'
    ),
}
