{#- The touched window: which rows a run replaces. Vars `from` and `to`, both
    or neither, rounded out to whole UTC days. -#}

{% macro has_window() %}
    {% set from, to = var('from', none), var('to', none) %}
    {% if (from is none) != (to is none) %}
        {{ exceptions.raise_compiler_error(
            "Give both vars, from and to, or neither; only one is set."
        ) }}
    {% endif %}
    {{ return(from is not none) }}
{% endmacro %}

{% macro is_windowed() %}
    {{ return(has_window() and is_incremental()) }}
{% endmacro %}

{% macro window_days() %}
    {%- set datetime = modules.datetime -%}
    {%- set one_day = datetime.timedelta(days=1) -%}
    {%- set days = [] -%}
    {%- for text in (var('from') | string, var('to') | string) -%}
        {%- set instant = datetime.datetime.fromisoformat(
            text.replace('Z', '+00:00')
        ) -%}
        {%- if instant.tzinfo -%}
            {%- set instant = instant.astimezone(modules.pytz.utc) -%}
        {%- endif -%}
        {%- set is_midnight = instant.strftime('%H%M%S%f') | int == 0 -%}
        {%- if loop.last and not is_midnight -%}
            {%- set instant = instant + one_day -%}
        {%- endif -%}
        {%- do days.append(instant.strftime('%Y-%m-%d')) -%}
    {%- endfor -%}
    {%- if days[0] >= days[1] -%}
        {{ exceptions.raise_compiler_error(
            "The window is empty: from " ~ var('from') ~ " to " ~ var('to')
            ~ ". `to` must be later than `from`."
        ) }}
    {%- endif -%}
    {{ return(days) }}
{% endmacro %}

{#- Without a window these reach everything. -#}
{% macro window_start() -%}
    {%- if has_window() -%}
        timestamptz '{{ window_days()[0] }} 00:00:00+00'
    {%- else -%}
        timestamptz '-infinity'
    {%- endif -%}
{%- endmacro %}

{% macro window_end() -%}
    {%- if has_window() -%}
        timestamptz '{{ window_days()[1] }} 00:00:00+00'
    {%- else -%}
        timestamptz 'infinity'
    {%- endif -%}
{%- endmacro %}

{#- A predicate on a column of instants, or of UTC days when it ends in _date. -#}
{% macro in_window(column) -%}
    {%- if not has_window() -%}
        true
    {%- elif column.endswith('_date') -%}
        {{ column }} >= date '{{ window_days()[0] }}'
        and {{ column }} < date '{{ window_days()[1] }}'
    {%- else -%}
        {{ column }} >= {{ window_start() }}
        and {{ column }} < {{ window_end() }}
    {%- endif -%}
{%- endmacro %}
