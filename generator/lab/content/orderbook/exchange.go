package main

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

// Ledger is where orders are written before they count.
type Ledger interface {
	Load(ctx context.Context) (book Book, last int64, err error)
	Save(ctx context.Context, left Order, makers []Order, trades []Trade) error
	Wipe(ctx context.Context) error
}

// Exchange takes orders one after the other: matched, written, and only then in the book.
type Exchange struct {
	mutex  sync.Mutex
	book   Book
	last   int64
	ledger Ledger
}

// NewExchange starts with the book that the ledger holds.
func NewExchange(ctx context.Context, ledger Ledger) (*Exchange, error) {
	book, last, err := ledger.Load(ctx)
	return &Exchange{book: book, last: last, ledger: ledger}, err
}

// Handler gives the application's paths.
func (e *Exchange) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", e.page)
	mux.HandleFunc("GET /ob", e.text)
	mux.HandleFunc("/api/order", e.order)
	mux.HandleFunc("/api/wipe", e.wipe)
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) { answerOK(w) })
	mux.HandleFunc("GET /headers", headers)
	return mux
}

// Place matches an order and puts what remains of it into the book.
func (e *Exchange) Place(ctx context.Context, side Side, price, size int64) (Order, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	order := Order{ID: e.last + 1, Side: side, Price: price, Size: size, Remaining: size, Time: time.Now().UTC()}
	trades, left, makers := e.book.Match(order)
	if err := e.ledger.Save(ctx, left, makers, trades); err != nil {
		return Order{}, err
	}
	e.last = order.ID
	e.book.Apply(left, makers)
	return left, nil
}

func (e *Exchange) order(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var wish struct {
		Side  Side  `json:"side"`
		Price int64 `json:"price"`
		Size  int64 `json:"size"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&wish); err != nil {
		http.Error(w, "bad JSON", http.StatusBadRequest)
		return
	}
	if wish.Side != Buy && wish.Side != Sell {
		http.Error(w, "bad side", http.StatusBadRequest)
		return
	}
	if wish.Price <= 0 || wish.Size <= 0 {
		http.Error(w, "bad price or size", http.StatusBadRequest)
		return
	}
	// a client that goes away must not cut the one connection in the middle of a transaction
	ctx := context.WithoutCancel(r.Context())
	order, err := e.Place(ctx, wish.Side, wish.Price, wish.Size)
	if err != nil {
		log.Printf("order refused: %v", err)
		http.Error(w, "the order could not be written", http.StatusInternalServerError)
		return
	}
	answer(w, order)
}

func (e *Exchange) wipe(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if err := e.ledger.Wipe(context.WithoutCancel(r.Context())); err != nil {
		log.Printf("not wiped: %v", err)
		http.Error(w, "the book could not be wiped", http.StatusInternalServerError)
		return
	}
	e.book.Wipe()
	answerOK(w)
}

func (e *Exchange) text(w http.ResponseWriter, _ *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, e.book.String())
}

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Limit order book</title></head>
<body>
<h1>Limit order book</h1>
{{range .}}<h2>{{.Title}}</h2>
<table>
<tr><th>price</th><th>size</th><th>orders</th></tr>
{{range .Levels}}<tr><td>{{.Price}}</td><td>{{.Size}}</td><td>{{.Orders}}</td></tr>
{{end}}</table>
{{end}}</body>
</html>
`))

func (e *Exchange) page(w http.ResponseWriter, _ *http.Request) {
	type half struct {
		Title  string
		Levels []Level
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page.Execute(w, []half{{"Sell", e.book.Levels(Sell)}, {"Buy", e.book.Levels(Buy)}})
}

func headers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "Host: "+r.Host+"\n")
	r.Header.Write(w)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

func answerOK(w http.ResponseWriter) {
	answer(w, map[string]bool{"ok": true})
}
