{{ config(indexes=[{'columns': ['tenant_id', 'as_of_date']}]) }}

with

features as (

    select * from {{ ref('stg_learning__churn_features') }}

),

features_exposed as (

    select
        ---------- ids
        tenant_id,
        listener_id,

        ---------- dates
        as_of_date,

        ---------- text
        plan,

        ---------- numerics
        plays_1d,
        skip_share_1d,
        plays_7d,
        listened_seconds_7d,
        active_days_7d,
        sessions_7d,
        tracks_7d,
        artists_7d,
        skip_share_7d,
        shuffle_share_7d,
        offline_share_7d,
        plays_28d,
        listened_seconds_28d,
        active_days_28d,
        sessions_28d,
        tracks_28d,
        artists_28d,
        skip_share_28d,
        shuffle_share_28d,
        offline_share_28d,
        plays_90d,
        listened_seconds_90d,
        active_days_90d,
        sessions_90d,
        tracks_90d,
        artists_90d,
        skip_share_90d,
        shuffle_share_90d,
        offline_share_90d,
        days_since_last_play,
        plays_trend_28d,
        listened_trend_28d,
        tenure_days,
        is_family_plan,
        days_on_plan,
        upgrades,
        downgrades,
        cancellations,
        charges_90d,
        refunds_90d,
        paid_minor_90d,
        days_since_last_charge,
        tickets_28d,
        tickets_90d,
        open_tickets,
        unhappy_tickets_90d

    from features

)

select * from features_exposed
