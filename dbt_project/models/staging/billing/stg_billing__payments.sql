with

source as (

    select * from {{ source('raw', 'payments') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('payment_id') }} as payment_key,
        payment_id,
        listener_id,

        ---------- text
        kind,
        plan,
        currency,

        ---------- numerics
        amount_minor,

        ---------- timestamps
        paid_at

    from source

)

select * from renamed
