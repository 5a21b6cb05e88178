// A bank's client in Go. README.md beside it says how to generate the packages imported here, by protoc-gen-go and -go-grpc.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	catalogue "example.invalid/bank/xinyidai/catalogue/v1"
	gateway "example.invalid/bank/xinyidai/gateway/v1"
)

func main() {
	// The certificate says which bank asks; these are those that `make run` leaves.
	certificate, err := tls.LoadX509KeyPair("var/certs/demo-bank.pem", "var/certs/demo-bank.key")
	if err != nil {
		log.Fatal(err)
	}
	authority, err := os.ReadFile("var/certs/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	shown := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: trusted})
	most := grpc.MaxCallRecvMsgSize(16 * 1024 * 1024) // as the gateway's own limit; 4 MB by default
	connection, err := grpc.NewClient("127.0.0.1:50051", grpc.WithTransportCredentials(shown), grpc.WithDefaultCallOptions(most))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := gateway.NewCreditServiceClient(connection).GetCreditView(ctx, &gateway.GetCreditViewRequest{
		Query: &gateway.CreditQuery{Uscc: "91310115MA0TERT167", Purpose: catalogue.Purpose_PURPOSE_PRE_LOAN},
	})
	if err != nil {
		log.Fatal(err) // status.FromError gives the google.rpc details
	}
	for _, answer := range response.View.Answers {
		fmt.Println(answer.Platform, answer.Outcome)
	}
}
