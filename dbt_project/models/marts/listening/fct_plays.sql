{{ config(
    materialized='incremental',
    incremental_strategy='replace_window',
    indexes=[{'columns': ['tenant_id', 'started_at']}],
) }}

with

plays as (

    select * from {{ ref('stg_playback__plays') }}
    {% if is_windowed() %}
        where {{ in_window('started_at') }}
    {% endif %}

),

plays_measured as (

    select
        ---------- ids
        tenant_id,
        play_key,
        play_id,
        listener_id,
        track_id,

        ---------- text
        source_of_play,
        platform,
        country,
        reason_end,

        ---------- numerics
        listened_ms,
        track_ms,
        cast(
            case
                when listened_ms is not null then round(
                    cast(least(listened_ms, track_ms) as numeric)
                    / nullif(track_ms, 0),
                    4
                )
            end
            as numeric(5, 4)
        ) as completion_share,

        ---------- booleans
        is_skipped,
        is_shuffle,
        is_offline,
        -- Who sends no length sends what its own rule calls listened to.
        listened_ms is null
        or listened_ms >= least(
            {{ var('counted_stream_seconds') }} * 1000, track_ms
        ) as is_counted_stream,

        ---------- dates
        listening_date,

        ---------- timestamps
        started_at,
        ended_at

    from plays

)

select * from plays_measured
