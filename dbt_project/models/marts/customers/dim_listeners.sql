with

listeners as (

    select * from {{ ref('stg_crm__listeners') }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

subscriptions as (

    select * from {{ ref('fct_subscriptions') }}

),

payments as (

    select * from {{ ref('fct_payments') }}

),

data_ends as (

    select
        tenant_id,
        max(session_date) as last_session_date
    from sessions
    group by tenant_id

),

plays_by_listener as (

    select
        tenant_id,
        listener_id,
        sum(plays) as plays,
        min(started_at) as first_played_at,
        max(ended_at) as last_played_at
    from sessions
    group by tenant_id, listener_id

),

current_subscriptions as (

    select * from subscriptions
    where is_current

),

-- Facts may name a listener before the profile arrives.
listeners_known as (

    select
        tenant_id,
        listener_id
    from listeners
    union
    select
        tenant_id,
        listener_id
    from plays_by_listener
    union
    select
        tenant_id,
        listener_id
    from subscriptions
    union
    select
        tenant_id,
        listener_id
    from payments

),

listeners_described as (

    select
        ---------- ids
        known.tenant_id,
        known.tenant_id || ':' || known.listener_id as listener_key,
        known.listener_id,

        ---------- text
        listeners.country,
        listeners.gender,
        listeners.acquisition_channel,
        current_subscriptions.plan as current_plan,

        ---------- numerics
        listeners.birth_year,
        cast(coalesce(plays_by_listener.plays, 0) as bigint) as plays,
        data_ends.last_session_date
        - cast(listeners.signed_up_at at time zone 'UTC' as date)
            as tenure_days,

        ---------- booleans
        listeners.listener_id is not null as is_profiled,
        coalesce(current_subscriptions.is_paid, false) as is_paying,

        ---------- timestamps
        listeners.signed_up_at,
        plays_by_listener.first_played_at,
        plays_by_listener.last_played_at

    from listeners_known as known

    left join listeners
        on known.tenant_id = listeners.tenant_id
        and known.listener_id = listeners.listener_id

    left join plays_by_listener
        on known.tenant_id = plays_by_listener.tenant_id
        and known.listener_id = plays_by_listener.listener_id

    left join current_subscriptions
        on known.tenant_id = current_subscriptions.tenant_id
        and known.listener_id = current_subscriptions.listener_id

    left join data_ends
        on known.tenant_id = data_ends.tenant_id

)

select * from listeners_described
