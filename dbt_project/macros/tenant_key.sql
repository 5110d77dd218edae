{#- A key that is unique across tenants, from an id that is unique within one. -#}
{% macro tenant_key(id) -%}
    tenant_id || ':' || {{ id }}
{%- endmacro %}
