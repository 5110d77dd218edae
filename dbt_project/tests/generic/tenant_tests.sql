{#- Data tests whose failing rows name their tenant: the gate at the marts reads
    them from `dbt_test_failures` and stops that tenant's publication alone.
    With `window_column` a windowed run looks at the rows of its window only. -#}

{#- Grain: no two rows of a tenant share these columns. -#}
{% test tenant_unique(model, columns, window_column=none) %}
    {% set key = (['tenant_id'] + columns) | join(', ') %}
    select
        {{ key }},
        count(*) as rows_found
    from {{ model }}
    {% if window_column in columns %}
        where {{ in_window(window_column) }}
    {% elif window_column and has_window() %}
        where ({{ key }}) in (
            select {{ key }}
            from {{ model }}
            where {{ in_window(window_column) }}
        )
    {% endif %}
    group by {{ key }}
    having count(*) > 1
{% endtest %}

{% test tenant_not_null(model, columns, window_column=none) %}
    select *
    from {{ model }}
    where
        ({% for column in ['tenant_id'] + columns -%}
            {{ column }} is null{{ " or " if not loop.last }}
        {%- endfor %})
        {% if window_column and has_window() %}
            and {{ in_window(window_column) }}
        {% endif %}
{% endtest %}

{#- Every value of `column` is one of `values`; null passes. -#}
{% test tenant_accepted_values(
    model, column, values, window_column=none
) %}
    select
        tenant_id,
        {{ column }} as value,
        count(*) as rows_found
    from {{ model }}
    where
        {{ column }} not in ('{{ values | join("', '") }}')
        {% if window_column and has_window() %}
            and {{ in_window(window_column) }}
        {% endif %}
    group by tenant_id, {{ column }}
{% endtest %}

{#- Every `column` is found as `field` of `to` in the same tenant; null passes. -#}
{% test tenant_relationships(
    model, column, to, field, window_column=none
) %}
    select
        child.tenant_id,
        child.{{ column }} as value,
        count(*) as rows_found
    from {{ model }} as child
    left join {{ to }} as parent
        on child.tenant_id = parent.tenant_id
        and child.{{ column }} = parent.{{ field }}
    where
        child.{{ column }} is not null
        and parent.{{ field }} is null
        {% if window_column and has_window() %}
            and {{ in_window('child.' ~ window_column) }}
        {% endif %}
    group by child.tenant_id, child.{{ column }}
{% endtest %}

{#- A condition that holds in every row. -#}
{% test tenant_expression_is_true(model, expression, window_column=none) %}
    select *
    from {{ model }}
    where
        ({{ expression }}) is not true
        {% if window_column and has_window() %}
            and {{ in_window(window_column) }}
        {% endif %}
{% endtest %}
