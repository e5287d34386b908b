// A limit order book kept in memory: price-time priority, whole numbers, no database.
package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Side of the book that an order stands on.
type Side string

const (
	Buy  Side = "buy"
	Sell Side = "sell"
)

// Order is what somebody wants: at most (buy) or at least (sell) this price, for what remains of the size.
type Order struct {
	ID        int64     `json:"id"`
	Side      Side      `json:"side"`
	Price     int64     `json:"price"`
	Size      int64     `json:"size"`
	Remaining int64     `json:"remaining"`
	Time      time.Time `json:"time"`
}

// Trade is a match of a new order with one that rested, at the price of the latter.
type Trade struct {
	Maker int64 `json:"maker"`
	Taker int64 `json:"taker"`
	Price int64 `json:"price"`
	Size  int64 `json:"size"`
}

// Book holds the resting orders, best price first and among equals the elder first.
type Book struct {
	buys  []Order
	sells []Order
}

// Match tells what a new order would do: the trades, what remains of it, and the resting orders that change.
// The book itself stays as it is until Apply.
func (b *Book) Match(taker Order) (trades []Trade, left Order, makers []Order) {
	left = taker
	for _, maker := range b.opposite(taker.Side) {
		if left.Remaining == 0 || !crosses(left, maker) {
			break
		}
		size := min(left.Remaining, maker.Remaining)
		left.Remaining -= size
		maker.Remaining -= size
		makers = append(makers, maker)
		trades = append(trades, Trade{Maker: maker.ID, Taker: taker.ID, Price: maker.Price, Size: size})
	}
	return trades, left, makers
}

// Apply makes a match real: filled orders leave, what remains of the new one rests.
func (b *Book) Apply(left Order, makers []Order) {
	resting := b.opposite(left.Side)
	for i, maker := range makers {
		resting[i].Remaining = maker.Remaining
	}
	resting = slices.DeleteFunc(resting, func(order Order) bool { return order.Remaining == 0 })
	if left.Side == Buy {
		b.sells = resting
	} else {
		b.buys = resting
	}
	if left.Remaining > 0 {
		b.rest(left)
	}
}

// Restore puts back an order that rested before a restart.
func (b *Book) Restore(order Order) {
	b.rest(order)
}

// Wipe removes every order.
func (b *Book) Wipe() {
	b.buys, b.sells = nil, nil
}

// Level is all that rests at one price.
type Level struct {
	Price  int64
	Size   int64
	Orders int
}

// Levels sums up one side, best price first.
func (b *Book) Levels(side Side) []Level {
	orders := b.buys
	if side == Sell {
		orders = b.sells
	}
	var levels []Level
	for _, order := range orders {
		if last := len(levels) - 1; last >= 0 && levels[last].Price == order.Price {
			levels[last].Size += order.Remaining
			levels[last].Orders++
		} else {
			levels = append(levels, Level{Price: order.Price, Size: order.Remaining, Orders: 1})
		}
	}
	return levels
}

// String shows the book as text: the sells above, the buys below, the best prices in the middle.
func (b *Book) String() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "side\tprice\tsize\torders\t")
	sells := b.Levels(Sell)
	slices.Reverse(sells)
	for _, level := range sells {
		fmt.Fprintf(table, "sell\t%d\t%d\t%d\t\n", level.Price, level.Size, level.Orders)
	}
	for _, level := range b.Levels(Buy) {
		fmt.Fprintf(table, "buy\t%d\t%d\t%d\t\n", level.Price, level.Size, level.Orders)
	}
	table.Flush()
	return text.String()
}

func (b *Book) opposite(side Side) []Order {
	if side == Buy {
		return b.sells
	}
	return b.buys
}

func (b *Book) rest(order Order) {
	side := &b.buys
	if order.Side == Sell {
		side = &b.sells
	}
	place := slices.IndexFunc(*side, func(other Order) bool { return better(order, other) })
	if place < 0 {
		place = len(*side)
	}
	*side = slices.Insert(*side, place, order)
}

func crosses(taker, maker Order) bool {
	if taker.Side == Buy {
		return taker.Price >= maker.Price
	}
	return taker.Price <= maker.Price
}

// better tells whether an order stands before another of its side; equal prices keep their order of arrival.
func better(order, other Order) bool {
	if order.Price == other.Price {
		return order.ID < other.ID
	}
	return (order.Side == Buy) == (order.Price > other.Price)
}
