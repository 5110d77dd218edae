{#- Incremental strategies that replace instead of add, so that a row that
    vanished from raw vanishes here and a second run changes nothing. -#}

{#- Replace the rows whose `meta.publish_time` lies in the window. -#}
{% macro get_incremental_replace_window_sql(arg_dict) %}
    delete from {{ arg_dict["target_relation"] }}
    where {{ in_window(config.get('meta')['publish_time']) }};

    {{ get_insert_into_sql(
        arg_dict["target_relation"],
        arg_dict["temp_relation"],
        arg_dict["dest_columns"]
    ) }}
{% endmacro %}

{#- Replace the sessions the window reaches and those the new ones overlap. -#}
{% macro get_incremental_replace_sessions_sql(arg_dict) %}
    {% set gap = "interval '" ~ var('session_gap_minutes') ~ " minutes'" %}
    {% if has_window() %}
        delete from {{ arg_dict["target_relation"] }}
        where
            ended_at >= {{ window_start() }} - {{ gap }}
            and started_at < {{ window_end() }};

        delete from {{ arg_dict["target_relation"] }} as stale
        using {{ arg_dict["temp_relation"] }} as fresh
        where
            stale.tenant_id = fresh.tenant_id
            and stale.listener_id = fresh.listener_id
            and stale.started_at <= fresh.ended_at
            and stale.ended_at >= fresh.started_at;
    {% else %}
        delete from {{ arg_dict["target_relation"] }};
    {% endif %}

    {{ get_insert_into_sql(
        arg_dict["target_relation"],
        arg_dict["temp_relation"],
        arg_dict["dest_columns"]
    ) }}
{% endmacro %}

{#- Is this run limited to a window of a relation that an earlier run built? -#}
{% macro is_windowed_on(relation) %}
    {% if not execute or flags.FULL_REFRESH or not has_window() %}
        {{ return(false) }}
    {% endif %}
    {% set existing = load_relation(relation) %}
    {{ return(existing is not none and existing.is_table) }}
{% endmacro %}
