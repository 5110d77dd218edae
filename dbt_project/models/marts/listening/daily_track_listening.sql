{{ config(
    materialized='incremental',
    incremental_strategy='replace_window',
    indexes=[{'columns': ['tenant_id', 'listening_date']}],
) }}

with

plays as (

    select * from {{ ref('fct_plays') }}
    {% if is_windowed() %}
        where {{ in_window('started_at') }}
    {% endif %}

),

plays_by_day as (

    select
        ---------- ids
        tenant_id,
        track_id,

        ---------- dates
        listening_date,

        ---------- numerics
        count(*) as plays,
        count(*) filter (where is_counted_stream) as counted_streams,
        count(*) filter (where is_skipped) as skips,
        count(distinct listener_id) as listeners,
        cast(
            div(coalesce(sum(listened_ms), 0), 1000) as bigint
        ) as listened_seconds

    from plays

    group by tenant_id, track_id, listening_date

)

select * from plays_by_day
