// A bank's client in Java. README.md beside it says how to generate, by protoc-gen-grpc-java (packages follow the proto packages).
import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import xinyidai.catalogue.v1.View.Purpose;
import xinyidai.gateway.v1.CreditServiceGrpc;
import xinyidai.gateway.v1.CreditServiceOuterClass.CreditQuery;
import xinyidai.gateway.v1.CreditServiceOuterClass.GetCreditViewRequest;
import xinyidai.gateway.v1.CreditServiceOuterClass.GetCreditViewResponse;

public final class JavaClient {
  public static void main(String[] args) throws IOException {
    // The certificate says which bank asks; these are those that `make run` leaves.
    ChannelCredentials shown = TlsChannelCredentials.newBuilder()
        .keyManager(new File("var/certs/demo-bank.pem"), new File("var/certs/demo-bank.key"))
        .trustManager(new File("var/certs/ca.pem")).build();
    ManagedChannel channel = Grpc.newChannelBuilder("127.0.0.1:50051", shown)
        .maxInboundMessageSize(16 * 1024 * 1024) // as the gateway's own limit; 4 MB by default
        .build();
    CreditQuery query = CreditQuery.newBuilder()
        .setUscc("91310115MA0TERT167").setPurpose(Purpose.PURPOSE_PRE_LOAN).build();
    try {
      GetCreditViewResponse response = CreditServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(5, TimeUnit.SECONDS)
          .getCreditView(GetCreditViewRequest.newBuilder().setQuery(query).build());
      response.getView().getAnswersList().forEach(a -> System.out.println(a.getPlatform() + " " + a.getOutcome()));
    } catch (StatusRuntimeException refused) {
      System.err.println(refused.getStatus());
      com.google.rpc.Status status = StatusProto.fromThrowable(refused); // null where gRPC itself ended the call
      for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          System.err.println("reason " + detail.unpack(ErrorInfo.class).getReason());
        }
      }
    } finally {
      channel.shutdown();
    }
  }
}
