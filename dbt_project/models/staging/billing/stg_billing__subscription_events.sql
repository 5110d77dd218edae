with

source as (

    select * from {{ source('raw', 'subscription_events') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('event_id') }} as event_key,
        event_id,
        listener_id,

        ---------- text
        kind,
        plan_from,
        plan_to,

        ---------- timestamps
        occurred_at

    from source

)

select * from renamed
