package main

import (
	"fmt"
	"math/rand/v2"
)

// Half of an order is what many orders share (names, words, numbers of a few digits), the other half what no compression finds:
// identifiers and a signature. The same seed gives the same orders.
const (
	hexDigits    = "0123456789abcdef"
	base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	signature    = 300
	customers    = 1_000_000
)

var (
	states = []string{"created", "paid", "packed", "shipped", "delivered", "returned"}
	words  = []string{
		"amber", "basket", "copper", "delta", "engine", "folding", "garden", "harbour", "indigo", "jacket", "kettle", "lantern", "marble",
		"nickel", "orchard", "pebble", "quartz", "ribbon", "silver", "timber", "umbrella", "velvet", "walnut", "yellow", "zipper", "bright",
		"heavy", "small", "steel", "woven", "with", "without", "for", "and", "of", "the",
	}
)

type orders struct {
	random *rand.Rand
	time   int64
}

func newOrders(seed uint64) *orders {
	return &orders{random: rand.New(rand.NewPCG(seed, seed)), time: 1_790_000_000_000}
}

func (o *orders) digits(to []byte, alphabet string, count int) []byte {
	bits, left := uint64(0), 0
	for range count {
		if left == 0 {
			bits, left = o.random.Uint64(), 10
		}
		to = append(to, alphabet[bits%uint64(len(alphabet))])
		bits, left = bits>>6, left-1
	}
	return to
}

func (o *orders) words(to []byte, count int) []byte {
	for number := range count {
		if number > 0 {
			to = append(to, ' ')
		}
		to = append(to, words[o.random.IntN(len(words))]...)
	}
	return to
}

// next is an order of exactly recordBytes and the key of its customer.
func (o *orders) next() (key, value []byte) {
	customer := o.random.IntN(customers)
	o.time += int64(o.random.IntN(20))
	key = fmt.Appendf(nil, "customer-%06d", customer)
	value = make([]byte, 0, recordBytes+64)
	value = append(value, `{"order_id":"`...)
	value = o.digits(value, hexDigits, 32)
	value = fmt.Appendf(value, `","customer_id":"customer-%06d","created_at_ms":%d,"status":"%s","currency":"EUR","items":[`,
		customer, o.time, states[o.random.IntN(len(states))])
	for number := range 3 {
		if number > 0 {
			value = append(value, ',')
		}
		value = fmt.Appendf(value, `{"sku":"SKU-%05d","quantity":%d,"price_cents":%d,"name":"`,
			o.random.IntN(20_000), 1+o.random.IntN(9), 100+o.random.IntN(90_000))
		value = append(o.words(value, 3), `"}`...)
	}
	value = append(value, `],"signature":"`...)
	value = append(o.digits(value, base64Digits, signature), `","note":"`...)
	for len(value) < recordBytes-2 {
		value = append(o.words(value, 1), ' ')
	}
	value = append(value[:recordBytes-2], `"}`...)
	return key, value
}
